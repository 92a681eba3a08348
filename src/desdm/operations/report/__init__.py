"""The report on a run: one self-contained page with pictures and plots (`desdm.operations.report.page.write_report`)."""
