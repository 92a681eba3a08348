"""Engines that answer queries: DuckDB over a release's Parquet (embedded), PostgreSQL (site)."""
