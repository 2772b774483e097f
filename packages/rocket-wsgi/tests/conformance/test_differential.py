def normal(p):
    fields = {}
    for name, value in p.fields:
        if "_" in name or name in ("proxy", "host", "content-length", "transfer-encoding"):
            continue
        key = name.upper().replace("-", "_")
        if key != "CONTENT_TYPE":
            key = "HTTP_" + key
        joint = "; " if name == "cookie" else ", "
        fields[key] = fields[key] + joint + value if key in fields else value
    return p.method, p.target, fields, p.body
