"""``python -m crowdbench``."""

from crowdbench.cli import main

main()
