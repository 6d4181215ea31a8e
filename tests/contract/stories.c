#include "story.h"

const struct tandem_contract_story tandem_contract_stories[] = {
#define X(name) {#name, story_##name},
        STORY_TABLE(X)
#undef X
};

const unsigned tandem_contract_story_count =
        sizeof(tandem_contract_stories) / sizeof(tandem_contract_stories[0]);
