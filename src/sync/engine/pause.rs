//! Which sites an operator paused: it outlives a restart.

use std::collections::BTreeSet;

use super::Engine;
use crate::error::Result;

/// `paused/SITE`: one when the exchange with the site is paused.
const PAUSED_KEYS: &str = "paused/";

impl Engine {
    /// Keeps that an operator paused a site, or let it go on. Returns whether that is a change.
    ///
    /// # Errors
    /// When the engine failed before and cannot be opened again, or the state cannot be written.
    pub fn set_paused(&mut self, site_id: u64, paused: bool) -> Result<bool> {
        self.with(|opened, config| {
            let key = format!("{PAUSED_KEYS}{site_id}");
            let state = opened.core.state_mut();
            if (state.number(&key)? != 0) == paused {
                return Ok(false);
            }
            state.set_number(&key, u64::from(paused));
            opened.commit(config)?;
            Ok(true)
        })
    }

    /// The sites that are paused.
    ///
    /// # Errors
    /// As [`Engine::set_paused`].
    pub fn paused(&mut self) -> Result<BTreeSet<u64>> {
        self.with(|opened, _| {
            let numbers = opened.core.state().numbers(PAUSED_KEYS)?.into_iter();
            let paused = numbers.filter(|(_, number)| *number != 0);
            Ok(paused.filter_map(|(site, _)| site.parse().ok()).collect())
        })
    }

    /// Keeps the journal for another site from here on, or no longer.
    pub fn set_member(&mut self, site_id: u64, name: Option<String>) {
        let members = &mut self.config.retention.members;
        match name {
            Some(name) => members.insert(site_id, name),
            None => members.remove(&site_id),
        };
    }
}
