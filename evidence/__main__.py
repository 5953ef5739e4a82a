"""`python -m evidence`: the same command line as the `evidence` script."""

from evidence.cli.main import main

if __name__ == "__main__":
    main()
