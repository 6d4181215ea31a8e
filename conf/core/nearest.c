#include <string.h>

#include <tandem/config.h>

#define WORD_BYTES_MAX 64

static size_t least_of(size_t a, size_t b)
{
	return a < b ? a : b;
}

/* Optimal string alignment distance: insert, delete, replace, or swap two neighbours, each costs 1
 * (Damerau 1964; Boytsov 2011). Both words are at most WORD_BYTES_MAX long. */
static size_t distance(const char *a, const char *b)
{
	size_t rows[3][WORD_BYTES_MAX + 1];
	size_t *before = rows[0], *above = rows[1], *now = rows[2];
	size_t a_length = strlen(a), b_length = strlen(b);
	for (size_t j = 0; j <= b_length; j++)
		above[j] = j;
	for (size_t i = 1; i <= a_length; i++) {
		now[0] = i;
		for (size_t j = 1; j <= b_length; j++) {
			size_t replaced = above[j - 1] + (a[i - 1] != b[j - 1]);
			now[j] = least_of(replaced, least_of(above[j], now[j - 1]) + 1);
			if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
				now[j] = least_of(now[j], before[j - 2] + 1);
		}
		size_t *oldest = before;
		before = above;
		above = now;
		now = oldest;
	}
	return above[b_length];
}

const char *tandem_config_nearest(const char *word, const char *const *words)
{
	const char *nearest = NULL;
	size_t length = strlen(word);
	/* A third of the letters may be wrong; farther away it would be a guess. */
	size_t limit = length / 3 + 1;
	if (length > WORD_BYTES_MAX)
		return NULL;
	for (; *words; words++) {
		if (strlen(*words) > WORD_BYTES_MAX)
			continue;
		size_t steps = distance(word, *words);
		if (steps < limit || (steps == limit && !nearest)) {
			nearest = *words;
			limit = steps;
		}
	}
	return nearest;
}
