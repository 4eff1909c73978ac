/* How a mutex learns that somebody waits for it (src/sync/mutex.cpp, include/gofer/detail/arch/restartable.hpp), as a
 * model for spin:
 *
 *   Until WANTED is set, unlocking compares the word with LOCKED and then stores 0, which may overwrite what another
 *   has put there in between. A restart everywhere has whoever is in between begin again, and then by one atomic step.
 *   The first waiter sets WANTED_SOON, one at a time, restarts everywhere, and sets WANTED if its bit is still there.
 *   Once it is WANTED, a waiter may queue, and whoever unlocks wakes the one that waits.
 *
 * Claims: nobody is inside beside another, and nobody waits for ever. With -DNO_RESTART and with -DNO_TURNS, where two
 * may set WANTED_SOON at a time, they have to fail; the check runs these, too.
 */
#ifndef PARTIES
#define PARTIES 3
#endif
#define LOCKED 1
#define WANTED 2
#define WANTED_SOON 4

byte word = 0;
byte waiting = 0; /* in the queue */
byte wakes = 0;   /* of the queue, not yet taken */
bool setting = false;
byte inside = 0;
bool interrupted[PARTIES];

active [PARTIES] proctype party() {
  byte round = 0;
  byte seen;
  do
  :: round < 2 ->
    /* lock */
    do
    :: atomic { (word & LOCKED) == 0 -> word = word | LOCKED; break }
    :: atomic { (word & LOCKED) && (word & WANTED) -> waiting++ } /* the queue's lock makes it one step */
      atomic { wakes > 0 -> wakes-- }
    :: (word & LOCKED) && !(word & WANTED) ->
#ifndef NO_TURNS
      atomic { !setting -> setting = true }
#endif
      if
      :: atomic { word == LOCKED -> word = LOCKED | WANTED_SOON }
#ifndef NO_RESTART
        d_step {
          seen = 0;
          do
          :: seen < PARTIES -> interrupted[seen] = true; seen++
          :: else -> break
          od;
          seen = 0
        }
#endif
        if
        :: atomic { word & WANTED_SOON -> word = (word & LOCKED) | WANTED }
        :: else
        fi
      :: else
      fi;
#ifndef NO_TURNS
      setting = false
#endif
    od;
    inside++;
    assert(inside == 1);
    inside--;
    /* unlock */
    interrupted[_pid] = false;
    seen = word;
    if
    :: seen == LOCKED ->
      if
      :: atomic { !interrupted[_pid] -> word = 0 }
      :: atomic { interrupted[_pid] -> goto slow }
      fi
    :: else ->
slow: atomic {
        if
        :: waiting > 0 -> waiting--; wakes++
        :: else
        fi;
        word = word & (WANTED | WANTED_SOON)
      }
    fi;
    seen = 0;
    round++
  :: else -> break
  od
}
