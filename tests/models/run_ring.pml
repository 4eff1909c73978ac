/* The head of a processor's ring (src/sched/run_ring.hpp), as a model for spin:
 *
 *   While the head's lone bit is set the owner moves it with plain stores, between saying that it is here and that it is
 *   not; and does so only if no thief has claimed the bit.
 *   A thief that finds the bit set claims it, has a fence on every core, waits until the owner is not here, clears it.
 *   Without the bit all move the head by compare-and-swap. The owner sets the bit again when it likes, unless it is
 *   claimed.
 *
 * Claims: every fiber is taken once; nobody waits for ever. The owner's plain stores are buffered, in order, and become
 * visible to others some time later, at the latest at its next atomic read-modify-write or at a thief's fence. With
 * -DNO_FENCE (the thief's), -DNO_LOOK (the owner does not look whether the bit is claimed) or -DNO_BIT (thieves compare
 * the number alone) the claims have to fail; the check runs these, too, to see that the model can find what it looks for.
 */
#define FIBERS 4
#define THIEVES 2

#define LONE 1
#define ONE 2
#define first(h) ((h) / ONE)
#define is_lone(h) ((h) % ONE == LONE)

byte head = LONE;
bool owner_here = false;
bool claimed = false;
bool taken[FIBERS];

/* What the owner has stored and others do not see yet. */
mtype = { to_head, to_here };
chan stores = [3] of { mtype, byte };
byte own_head; /* the head as its owner sees it, while there are stores of it to be seen */
byte unseen_heads = 0;

active proctype memory() {
  mtype what;
  byte value;
end_memory:
  do
  :: atomic {
       stores?what, value ->
       if
       :: what == to_head -> head = value; unseen_heads--
       :: what == to_here -> owner_here = value
       fi;
       value = 0
     }
  od
}

#define seen_by_all (empty(stores))

inline take(i) {
  assert(!taken[i]);
  taken[i] = true
}

inline owner_loads_head(h) {
  atomic {
    if
    :: unseen_heads > 0 -> h = own_head
    :: else -> h = head
    fi
  }
}

proctype owner() {
  byte h;
  bool claimed_seen;
pop:
  owner_loads_head(h);
  if
  :: !is_lone(h) -> goto among_others
  :: else -> skip
  fi;
  stores!to_here, true;
#ifdef NO_LOOK
  claimed_seen = false;
#else
  claimed_seen = claimed;
#endif
  owner_loads_head(h);
  if
  :: claimed_seen || !is_lone(h) ->
    stores!to_here, false;
    atomic { seen_by_all -> head = first(head) * ONE; h = head };
    claimed_seen = false;
    goto among_others
  :: else -> skip
  fi;
  if
  :: first(h) == FIBERS -> stores!to_here, false; goto done
  :: else -> skip
  fi;
  atomic {
    take(first(h));
    nfull(stores) -> own_head = h + ONE; unseen_heads++; stores!to_head, own_head
  };
  stores!to_here, false;
  goto pop;
among_others:
  if
  :: first(h) == FIBERS -> goto done
  :: atomic { first(h) != FIBERS && seen_by_all ->
      if
      :: h == head -> head = h + ONE; take(first(h))
      :: else -> h = head; goto among_others
      fi
    }
  fi;
  /* settle, or not */
  if
  :: skip
  :: !claimed -> atomic { seen_by_all -> head = first(head) * ONE + LONE }
  fi;
  goto pop;
done:
  skip
}

proctype thief() {
  byte h;
look:
  h = head;
compare:
  if
  :: first(h) == FIBERS -> goto done
  :: else -> skip
  fi;
  if
  :: is_lone(h) ->
    if
    :: atomic { claimed -> skip }; (!claimed)
    :: atomic { !claimed -> claimed = true };
#ifndef NO_FENCE
      seen_by_all;
#endif
      (!owner_here);
      head = first(head) * ONE;
      claimed = false
    fi;
    goto look
  :: else -> skip
  fi;
  atomic {
    if
#ifdef NO_BIT
    :: first(h) == first(head) -> head = head + ONE; take(first(h))
#else
    :: h == head -> head = h + ONE; take(first(h))
#endif
    :: else -> h = head; goto compare
    fi
  };
  /* once more, or not */
  if
  :: goto look
  :: skip
  fi;
done:
  skip
}

init {
  byte i = 0;
  atomic {
    run owner();
    do
    :: i < THIEVES -> run thief(); i++
    :: else -> break
    od
  };
  (_nr_pr == 2 && seen_by_all); /* the memory and this one are left */
  i = 0;
  do
  :: i < FIBERS -> assert(taken[i]); i++
  :: else -> break
  od
}
