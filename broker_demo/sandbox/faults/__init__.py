"""What goes wrong on purpose: a script of faults, and a second port through which faults come and go while the sandbox runs."""
