"""Where a method loses AP: the errors of each keypoint, and what correcting them would gain."""
