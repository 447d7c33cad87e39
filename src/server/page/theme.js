// SPDX-License-Identifier: MIT
//
// theme.js - the colours that were chosen last, before anything is drawn.  Without a choice the
// system's hold.
//
{
  const chosen = localStorage.getItem('tritd-theme');
  if (chosen) document.documentElement.dataset.theme = chosen;
}
