// Nothing to see: this target exists for its linker options (Package.swift) and exports.map.
