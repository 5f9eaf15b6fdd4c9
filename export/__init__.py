"""Exporters: one file for each format, the check that a file computes what the subnet computes, and its manifest."""

if __name__ != "natdeploy.export":
    msg = "import this package as natdeploy.export"
    raise ImportError(msg)
