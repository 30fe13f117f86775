"""The batch engine: from a document to rows, with the rules of the API."""
