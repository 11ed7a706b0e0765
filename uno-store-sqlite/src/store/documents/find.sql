-- The documents between two places in the order of a field. Its plan is looked at by a test.
SELECT f.value, d.key, d.revision, d.body FROM uno_document_fields f
CROSS JOIN uno_documents d ON d.collection = f.collection AND d.key = f.key
WHERE f.collection = ? AND f.field = ? AND (f.value, f.key) > (?, ?) AND (f.value, f.key) < (?, ?)
ORDER BY f.value, f.key LIMIT ?
