"""`python -m abloop` is the `abloop` command."""

import sys

from abloop.cli import main

sys.exit(main())
