"""What ships for tests: the pytest plugin, and the suites that implementations of our protocols have to pass.

Nothing at run time imports this package.
"""
