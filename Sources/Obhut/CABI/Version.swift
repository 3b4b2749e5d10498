import ObhutHeader
import ObhutHeader.Text

// The version numbers stand in include/obhut.h alone. These functions, the Makefile and obhut.pc read them there.

@_cdecl("obhut_version") @implementation
public func obhut_version() -> UnsafePointer<CChar>! {
    obhut_header_version()
}

@_cdecl("obhut_abi_version") @implementation
public func obhut_abi_version() -> UInt32 {
    UInt32(OBHUT_ABI_VERSION)
}

/// What `obhut_has_feature` knows, as include/obhut.h lists it.
private let features: Set<String> = ["lua", "names", "requests", "external", "inspection", "fork", "native"]

@_cdecl("obhut_has_feature") @implementation
public func obhut_has_feature(_ name: UnsafePointer<CChar>!) -> Bool {
    guard let name, let text = String(validatingCString: name) else { return false }
    return features.contains(text)
}

@_cdecl("obhut_build_info") @implementation
public func obhut_build_info() -> UnsafePointer<CChar>! {
    #if DEBUG
        obhut_header_build_info(true)
    #else
        obhut_header_build_info(false)
    #endif
}
