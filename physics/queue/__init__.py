"""Jobs in processes that survive whoever asked: on this machine alone, or on AiiDA with provenance and SLURM."""
