"""The room of the Slurm launcher. Runs are local until it is built."""
