"""Reading and writing natdeploy's files: devices, tables, subnets, runs, data sets."""
