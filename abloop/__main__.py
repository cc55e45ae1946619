"""`python -m abloop` is the `abloop` command."""

import sys

from abloop.cli import main

if __name__ == "__main__":
    sys.exit(main())
