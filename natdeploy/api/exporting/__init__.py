"""Exporting subnets as checked files."""

from natdeploy.export.options import ExportOptions

__all__ = ["ExportOptions"]
