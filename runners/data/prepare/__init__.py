"""Published datasets, as they are downloaded, into the benchmark's folder layout."""
