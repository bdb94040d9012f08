"""From one YAML file to frozen core Settings, or to a complete list of what is wrong with it.

The way through: document.py (text to nodes with positions), expansion.py (`${}`), schema.py (types, limits,
strictness), build.py (cross checks and core Settings), loader.py (the entry: `load`, `service_from_url`).
Nothing here probes, connects or logs.
"""
