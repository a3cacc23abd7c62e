"""The report of a run: what its metrics say in words (`verdict`), and the HTML page (`html`)."""
