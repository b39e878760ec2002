"""Ten and more faults, planted one at a time: the machine finds each; its smallest story is a scenario that shows it."""
