"""With which status a job's process ends, for those who cannot read what it says.

Where the disk is full, the log is cut off and the state cannot be written: the status is all that is left.
"""

FAILED = 1
DISK_FULL = 28  # the number of "no space left on device"
BUSY = 75  # another process has the job
