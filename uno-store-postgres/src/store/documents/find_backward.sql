-- As find.sql, from the greatest place on.
SELECT d.key, d.revision, d.body, f.value FROM {schema}.document_fields f
JOIN {schema}.documents d ON d.collection = f.collection AND d.key = f.key
WHERE f.collection = $1 AND f.field = $2 AND (f.value, f.key) > ($3, $4) AND (f.value, f.key) < ($5, $6)
ORDER BY f.value DESC, f.key DESC LIMIT $7
