"""How a device is measured: descriptions, timing, methods, table building, validation, estimates."""

if __name__ != "natdeploy.profilers":
    msg = "import this package as natdeploy.profilers"
    raise ImportError(msg)
