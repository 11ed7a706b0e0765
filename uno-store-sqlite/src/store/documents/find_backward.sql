-- As find.sql, from the greatest place on.
SELECT f.value, d.key, d.revision, d.body FROM uno_document_fields f
CROSS JOIN uno_documents d ON d.collection = f.collection AND d.key = f.key
WHERE f.collection = ? AND f.field = ? AND (f.value, f.key) > (?, ?) AND (f.value, f.key) < (?, ?)
ORDER BY f.value DESC, f.key DESC LIMIT ?
