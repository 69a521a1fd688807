-- reusable_bytes: bytes of the pages that the file has and nothing uses
SELECT freelist_count * page_size FROM pragma_freelist_count, pragma_page_size
