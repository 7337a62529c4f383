"""What `crowdbench new-method` writes, as code that is linted, type-checked and tested like all other.

A package here becomes a plugin: `crowdbench.scaffold` copies its files and puts the plugin's names in the
place of ``my-method``, ``my_method`` and ``MyMethod``. ``test_my_method.py`` goes to its tests. Files import
each other relatively, so that they work here and there.
"""
