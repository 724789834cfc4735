"""`python -m toolkit` is `pellucid`, for a place where the script is not on the path."""

import sys

from toolkit.cli import main

sys.exit(main())
