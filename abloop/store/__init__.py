"""Storage: the spool in product processes, the database, and the Parquet files of the training table."""
