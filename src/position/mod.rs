//! Where a stream is: files and offsets, GTIDs and sets of them. Values only.
