"""What tests of more than one folder share: stand-ins for devices, small data sets, trained networks, recorders."""
