"""The report: tables with documented schemas, built from stored results, and a page to read."""
