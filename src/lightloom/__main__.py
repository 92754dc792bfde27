"""`python -m lightloom` is the `lightloom` command; `accelerate launch -m lightloom` runs it in several processes."""

from lightloom.cli import main

main()
