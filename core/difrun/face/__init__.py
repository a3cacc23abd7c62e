"""The functions of `import difrun`: everything that the command does, as one call, with names or objects of one's own.

`difrun/__init__.py` lists them, and imports each when it is first used.
"""
