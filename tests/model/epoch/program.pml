/* The protected program: it stores whenever it is not held. */

#ifdef WITH_ZEROS
#define NEW_CONTENT(page) (stores + 1) /* so that no content comes again */
#else
#define NEW_CONTENT(page) (memory[page] + 1)
#endif
#define MAY_STORE (!is_held && stores < STORES)

/* Pages are alike: the first store is to page 0. */
#define store(page)                                                                       \
	:: d_step {                                                                       \
		MAY_STORE && (page == 0 || stores > 0) ->                                 \
		memory[page] = NEW_CONTENT(page);                                         \
		stores++;                                                                 \
		dirty = dirty | BIT(page)                                                 \
	}
#define clear(page)                                                                       \
	:: d_step {                                                                       \
		MAY_STORE && memory[page] != 0 ->                                         \
		memory[page] = 0;                                                         \
		stores++;                                                                 \
		dirty = dirty | BIT(page)                                                 \
	}

proctype Program()
{
	do
	store(0)
	store(1)
#ifdef WITH_ZEROS
	clear(0)
	clear(1)
#endif
	od
}
