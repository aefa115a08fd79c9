"""What ships for tests: the pytest plugin with what one reaches for in a test, and suites for implementations of our
protocols.

    plugin                        the fixtures `cluster` and `blocking_cluster`: bases, scopes, options (its docstring)
    unittest                      the same for the standard library's test cases
    eventually                    `eventually`, `consistently`, `never`: what a cluster comes to, without polling
    matching, builders            `like`, `every`, `some`, which tell differences; common objects in a line each
    crashpoints                   the code under test dies after each of its writes in turn
    explore                       the same test under many seeds, and so in many orders
    clocks                        time that a test moves, and loops whose time jumps
    patience                      the end of bodies that would never end
    options, fixtures, hosting, environment, report
                                  what the plugin is made of
    store_suite, runtime_suite    the promises of `store.protocol` and `kubelet.runtime.protocol`, one check each
    server, agnhost               programs to run in pods: a small HTTP server, and the helper of upstream's e2e tests

Nothing at run time imports this package.
"""
