"""Reads CSV files with DuckDB as anyone would, and prints a line of JSON for each: its path, columns and rows.

Types are guessed for the check that they can be; the rows printed are text, as the file spells them.
"""

import json
import sys

import duckdb

for path in sys.argv[1:]:
    guessed = duckdb.read_csv(path)
    spelled = duckdb.read_csv(path, header=True, all_varchar=True)
    if guessed.columns != spelled.columns:
        sys.exit(f"{path}: the header is not seen: {guessed.columns}")
    rows = spelled.fetchall()
    if len(guessed.fetchall()) != len(rows):
        sys.exit(f"{path}: another number of rows with types")
    print(json.dumps({"path": path, "columns": spelled.columns, "rows": rows}))
