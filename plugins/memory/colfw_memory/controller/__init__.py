"""The controller: one compiled kernel for every device, in open and in closed loop."""
