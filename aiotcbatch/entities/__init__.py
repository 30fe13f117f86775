"""What users build: typed views over the dicts that go over the wire."""
