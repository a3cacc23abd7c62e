"""`python -m difrun` is the command `difrun`."""

from difrun.cli.entry_point import main

if __name__ == "__main__":
    main()
