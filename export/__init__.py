"""Exporters: one file a format, the check that the file computes what the subnet computes, and the manifest."""

if __name__ != "natdeploy.export":
    msg = "import this package as natdeploy.export"
    raise ImportError(msg)
