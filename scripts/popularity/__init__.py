"""What the workflow's scripts share: one module a subject, none of which imports what it does not need."""
