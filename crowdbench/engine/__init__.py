"""What runs methods: calls into the code of plugins, and what they may be asked."""
