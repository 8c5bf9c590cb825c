//! The merge, entry by entry: the rules that the design names.
