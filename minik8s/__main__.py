"""`python -m minik8s`, for where the command is not on PATH."""

from minik8s.cli import main

main(prog_name="minik8s")
