"""``python -m broker_core.cli`` is ``broker``."""

import sys

from broker_core.cli import main

sys.exit(main())
